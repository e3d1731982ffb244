//! What is kept of a guest's talk, what is cut, and that no secret is in it.

use super::*;
use sunaba_task::Unattended;

fn book(limits: Limits) -> Book {
    Book::new(&limits, now(), Arc::new(Unattended))
}

fn messages(book: &Book) -> Vec<(LogSource, String)> {
    book.close().0.into_iter().map(|entry| (entry.source, entry.message)).collect()
}

#[test]
fn lines_are_joined_from_parts_and_kept_in_order() {
    let book = book(Limits::default());
    book.write(LogSource::Stdout, b"one\ntw").expect("nobody panics");
    book.write(LogSource::Stderr, b"err\r\n").expect("nobody panics");
    book.write(LogSource::Stdout, b"o\n\nlast").expect("nobody panics");
    let expected = [("one", false), ("err", true), ("two", false), ("", false), ("last", false)];
    let expected =
        expected.map(|(text, err)| (if err { LogSource::Stderr } else { LogSource::Stdout }, text.to_owned()));
    assert_eq!(messages(&book), expected);
}

#[test]
fn stdout_limit_obeyed() {
    let book = book(Limits { stdout_bytes: 4, ..Limits::default() });
    book.write(LogSource::Stdout, b"abc\n").expect("nobody panics");
    let (entries, counts) = book.close();
    assert_eq!(entries.len(), 1);
    assert_eq!((counts.stdout_bytes, counts.dropped_bytes), (4, 0));
}

#[test]
fn stdout_limit_violated_is_cut_with_a_mark() {
    let book = book(Limits { stdout_bytes: 4, ..Limits::default() });
    book.write(LogSource::Stdout, b"abcdefgh").expect("nobody panics");
    book.write(LogSource::Stdout, b"ij").expect("nobody panics");
    let (entries, counts) = book.close();
    assert_eq!(entries[0].message, "abcd");
    assert_eq!(entries[1].source, LogSource::Host);
    assert_eq!(entries[1].message, "stdout was cut: 4 B kept, 6 B dropped");
    assert_eq!((counts.stdout_bytes, counts.dropped_bytes), (4, 6));
}

#[test]
fn log_lines_are_kept_whole_or_not_at_all() {
    let book = book(Limits { log_bytes: 5, ..Limits::default() });
    book.log(LogLevel::Info, "abc".into(), vec![]).expect("nobody panics");
    book.log(LogLevel::Info, "def".into(), vec![]).expect("nobody panics");
    let (entries, counts) = book.close();
    assert_eq!(entries[0].message, "abc");
    assert_eq!(entries[1].message, "log was cut: 3 B kept, 3 B dropped");
    assert_eq!((counts.log_bytes, counts.dropped_bytes), (3, 3));
}

#[test]
fn line_limit_violated_is_cut_with_a_mark() {
    let book = book(Limits { log_lines: 2, ..Limits::default() });
    book.write(LogSource::Stdout, b"1\n2\n3\n4\n").expect("nobody panics");
    let (entries, counts) = book.close();
    let texts: Vec<_> = entries.iter().map(|entry| entry.message.as_str()).collect();
    let marks = ["stdout was cut: 6 B kept, 2 B dropped", "lines were cut: 2 dropped over the limit"];
    assert_eq!(texts, ["1", "2", marks[0], marks[1]]);
    assert_eq!((counts.stdout_bytes, counts.dropped_bytes), (6, 2));
}

#[test]
fn an_endless_line_is_split() {
    let book = book(Limits::default());
    book.write(LogSource::Stdout, &[b'x'; MAX_LINE_BYTES + 1]).expect("nobody panics");
    let lengths: Vec<_> = messages(&book).into_iter().map(|(_, text)| text.len()).collect();
    assert_eq!(lengths, [MAX_LINE_BYTES, 1]);
}

const SECRET: &str = "hunter2-hunter2";

fn book_with_a_secret(limits: Limits) -> Book {
    let book = book(limits);
    book.redact_with(Arc::new(Redactor::new([(SECRET, "<key>")].into_iter())));
    book
}

#[test]
fn secret_at_a_cut_is_redacted_before() {
    let book = book_with_a_secret(Limits::default());
    let long = format!("{}{SECRET} and more", "x".repeat(MAX_LINE_BYTES - 10));
    let fields = vec![("panic".into(), long.clone()), (long.clone(), String::new())];
    book.log(LogLevel::Info, long.clone(), fields).expect("nobody panics");
    book.note(long.clone());
    let panic = book.panic_message().expect("it panicked");
    assert!(!panic.contains("hunter2"), "{panic}");
    let mut text = long;
    book.cut(&mut text, MAX_LINE_BYTES);
    let (entries, _) = book.close();
    let said = entries.iter().flat_map(|entry| {
        let fields = entry.fields.iter().flat_map(|(key, value)| [key, value]);
        fields.chain([&entry.message])
    });
    let cut: Vec<_> = said.chain([&text]).filter(|text| text.len() > 100).collect();
    assert_eq!(cut.len(), 5);
    for text in cut {
        assert!(text.len() <= MAX_LINE_BYTES && text.ends_with("x<key> a...") && !text.contains("hunter"), "{text}");
    }
}

#[test]
fn secret_is_found_across_writes_lines_and_the_end_of_an_endless_line() {
    let book = book_with_a_secret(Limits::default());
    let endless = "x".repeat(MAX_LINE_BYTES - 5);
    for part in ["a hunter2-", "hunter2\nb", endless.as_str(), SECRET, "\nhunt"] {
        book.write(LogSource::Stdout, part.as_bytes()).expect("nobody panics");
    }
    let texts: Vec<_> = messages(&book).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["a <key>", &format!("b{endless}<key"), ">", "hunt"]);
}

#[test]
fn secret_at_the_end_of_the_room_is_redacted_before() {
    let book = book_with_a_secret(Limits { stdout_bytes: 10, ..Limits::default() });
    book.write(LogSource::Stdout, format!("12345678{SECRET}").as_bytes()).expect("nobody panics");
    assert_eq!(messages(&book)[0].1, "12345678<k");
}

#[test]
fn line_that_waits_for_nothing_is_told_at_once() {
    let book = book_with_a_secret(Limits::default());
    book.write(LogSource::Stdout, b"one\n").expect("nobody panics");
    book.log(LogLevel::Info, "two".into(), vec![]).expect("nobody panics");
    book.write(LogSource::Stderr, b"three\n").expect("nobody panics");
    let texts: Vec<_> = messages(&book).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["one", "two", "three"]);
}

#[test]
fn what_was_cut_off_is_given_back() {
    let book = book(Limits::default());
    let mut fields: Vec<(String, String)> = (0..1_000).map(|index| (format!("k{index}"), "v".into())).collect();
    fields[0].1 = "v".repeat(1 << 20);
    book.log(LogLevel::Info, "x".repeat(1 << 20), fields).expect("nobody panics");
    let (entries, counts) = book.close();
    let (message, fields) = (&entries[0].message, &entries[0].fields);
    assert!(fields.len() == MAX_FIELDS && fields.capacity() < 2 * MAX_FIELDS, "{}", fields.capacity());
    assert!(message.capacity() < 2 * MAX_LINE_BYTES, "{}", message.capacity());
    assert!(fields[0].1.capacity() < 2 * MAX_LINE_BYTES, "{}", fields[0].1.capacity());
    assert!(counts.log_bytes + counts.dropped_bytes >= 2 << 20, "{counts:?}");
}

#[test]
fn a_panic_is_told_with_its_place() {
    // However full the book is.
    let book = book(Limits { log_lines: 1, ..Limits::default() });
    book.log(LogLevel::Info, "fine".into(), vec![]).expect("nobody panics");
    assert_eq!(book.panic_message(), None);
    book.log(LogLevel::Error, "boom".into(), vec![("panic".into(), "src/lib.rs:7:5".into())]).expect("nobody panics");
    assert_eq!(book.panic_message().as_deref(), Some("the guest panicked at src/lib.rs:7:5: boom"));
}

//! Others' texts made fit to be shown: in one line, of a bounded length, and without anything that a terminal obeys.

use sunaba_task::format_count;

/// Marks that something was cut.
pub(super) const CUT: char = '\u{2026}';

/// Whether a character is a command, to a terminal or to whoever lays out a text: it moves, or turns what is around it.
pub(super) fn is_command(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text in one line: what breaks it is a blank, and what else commands is shown and not obeyed.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == most {
            line.push(CUT);
            break;
        }
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if is_command(c) => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// How many columns of a terminal a character takes.
fn columns(c: char) -> usize {
    let is_wide = matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}');
    if is_wide { 2 } else { 1 }
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// As much of a text as so many columns hold.
pub(super) fn fit(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let (mut fitted, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += columns(c);
        if used > most {
            break;
        }
        fitted.push(c);
    }
    if most > 0 {
        fitted.push(CUT);
    }
    fitted
}

/// A count in at most six columns: `999`, `1.23k`, `45.6M`.
pub(super) fn compact(count: u64) -> String {
    let units = [(1_000_000_000_000, 'T'), (1_000_000_000, 'G'), (1_000_000, 'M'), (1_000, 'k')];
    let Some((unit, letter)) = units.into_iter().find(|(unit, _)| count >= *unit) else { return count.to_string() };
    // Cut, not rounded: 999,999 is no million.
    let (whole, hundredths) = (count / unit, count % unit / (unit / 100));
    match whole {
        1_000.. => format!("{}{letter}", format_count(whole)),
        100.. => format!("{whole}{letter}"),
        10.. => format!("{whole}.{}{letter}", hundredths / 10),
        _ => format!("{whole}.{hundredths:02}{letter}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_shown_and_not_obeyed() {
        assert_eq!(one_line("a\x1b[2Jb\nc\td", 99), "a\\u{1b}[2Jb c d");
        assert_eq!(one_line("\u{202e}gpj.exe\u{feff}", 99), "\\u{202e}gpj.exe\\u{feff}");
        assert_eq!((one_line("abcd", 4), one_line("abcd", 3)), ("abcd".into(), "abc\u{2026}".into()));
    }

    #[test]
    fn texts_fit_their_columns() {
        assert_eq!(
            (fit("abcd", 4), fit("abcde", 4), fit("abc", 0)),
            ("abcd".into(), "abc\u{2026}".into(), String::new())
        );
        assert_eq!((width("\u{4e2d}a"), fit("\u{4e2d}\u{4e2d}\u{4e2d}", 5)), (3, "\u{4e2d}\u{4e2d}\u{2026}".into()));
    }

    #[test]
    fn counts_are_short() {
        let told = [0, 999, 1_000, 1_239, 12_300, 999_999, 45_600_000, 7_000_000_000, u64::MAX].map(compact);
        assert_eq!(told, ["0", "999", "1.00k", "1.23k", "12.3k", "999k", "45.6M", "7.00G", "18,446,744T"]);
    }
}

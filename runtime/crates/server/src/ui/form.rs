//! What a form has sent, or what stands behind the question mark: names and values, both of bounded number.

use axum::http::{StatusCode, Uri};

use crate::problem::Problem;

/// Fields of one form: the tasks of a page, and some more.
const MAX_FIELDS: usize = 1_000;

/// Fields in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`. Source: URL Standard, section 5.1.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let mut fields = Vec::new();
        for field in bytes.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
            if fields.len() == MAX_FIELDS {
                let message = format!("the form has more than {MAX_FIELDS} fields\nhint: that is the limit here");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            let middle = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
            let (name, value) = (&field[..middle], field.get(middle + 1..).unwrap_or_default());
            fields.push((decoded(name)?, decoded(value)?));
        }
        Ok(Self(fields))
    }

    /// Fields that somebody may be shown to change.
    pub(super) fn of<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    pub(super) fn of_query(uri: &Uri) -> Result<Self, Problem> {
        Self::read(uri.query().unwrap_or_default().as_bytes())
    }

    /// The first value with this name, without the blanks around it; none where there is nothing else.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().map(str::trim).filter(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The first value as it was sent.
    pub(super) fn whole(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The ids of what was chosen.
    pub(super) fn ids(&self) -> Result<Vec<&str>, Problem> {
        let ids: Vec<_> = self.all("id").map(str::trim).collect();
        if ids.contains(&"") {
            let message = "an `id` of the form is empty, and nothing was done\nhint: go back, load the page anew, and choose again";
            return Err(Problem::new(StatusCode::BAD_REQUEST, message));
        }
        Ok(ids)
    }

    /// Words with commas or blanks between them.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let words = self.all(name).flat_map(|text| text.split(|c: char| c == ',' || c.is_whitespace()));
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A number; none where nothing stands.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let wrong = |text: &str| {
            let text: String = text.chars().take(40).collect();
            Problem::invalid(format!("`{name}` is `{text}`\nhint: write a whole number, or nothing for no limit"))
        };
        self.get(name).map(|text| text.replace(['_', ','], "").parse().map_err(|_| wrong(text))).transpose()
    }

    /// Those that are not about the form itself, to be sent once more.
    pub(super) fn again(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter().filter(|(name, _)| name != "csrf" && name != "sure")
    }
}

fn decoded(text: &[u8]) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut ahead = rest.clone();
                match (ahead.next().and_then(digit), ahead.next().and_then(digit)) {
                    (Some(high), Some(low)) => {
                        rest = ahead;
                        high << 4 | low
                    }
                    _ => b'%',
                }
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "the form cannot be read\nhint: it is UTF-8, percent-encoded")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let form = Form::read(b"a=1&b=x+y%20%C3%A9&a=2&empty=&&bare&odd=%zz%4").expect("a form");
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((form.get("b"), form.get("empty"), form.whole("empty")), (Some("x y é"), None, Some("")));
        assert_eq!((form.whole("bare"), form.get("odd"), form.get("none")), (Some(""), Some("%zz%4"), None));
        assert!(Form::read(b"a=%FF").is_err());
    }

    #[test]
    fn fields_of_a_form_obeyed_and_violated() {
        let of = |count: usize| Form::read("a=1&".repeat(count).as_bytes());
        assert!(of(MAX_FIELDS).is_ok());
        assert_eq!(of(MAX_FIELDS + 1).expect_err("too many").status, 413);
    }

    #[test]
    fn ids_obeyed_and_violated() {
        let form = |text: &str| Form::read(text.as_bytes()).expect("a form");
        assert_eq!(form("id=a&id=+b+&x=").ids(), Ok(vec!["a", "b"]));
        assert_eq!(form("x=1").ids(), Ok(vec![]));
        for empty in ["id=", "id=a&id=", "id=+"] {
            assert_eq!(form(empty).ids().expect_err("one is empty").status, 400, "{empty}");
        }
        assert_eq!(form("tag=a,+b%0D%0Ac&tag=d").words("tag"), ["a", "b", "c", "d"]);
    }

    #[test]
    fn numbers_may_have_their_thousands_apart() {
        let form = Form::read(b"a=10,000&b=+7+&c=seven&d=").expect("a form");
        assert_eq!((form.number("a"), form.number("b"), form.number("d")), (Ok(Some(10_000)), Ok(Some(7)), Ok(None)));
        assert!(form.number("c").is_err());
    }
}

//! What stands behind the question mark. Names are any bytes, so they are decoded to bytes and not to text.

use percent_encoding::percent_decode_str;

/// The fields of a request, each at most once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, Vec<u8>)>);

/// Why they cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadField {
    #[error("there is no field '{name}' here; the fields are: {known}")]
    Unknown { name: String, known: String },
    #[error("the field '{0}' is there twice")]
    Twice(String),
    #[error("the field '{name}' {what}")]
    Value {
        name: &'static str,
        what: &'static str,
    },
}

impl Fields {
    /// The fields of a request that takes those in `known`.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, BadField> {
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        for field in query.unwrap_or_default().split('&') {
            if field.is_empty() {
                continue;
            }
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
            if !known.contains(&&*name) {
                let known = match known {
                    [] => "none".into(),
                    known => known.join(", "),
                };
                return Err(BadField::Unknown { name, known });
            }
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(BadField::Twice(name));
            }
            fields.push((name, percent_decode_str(value).collect()));
        }
        Ok(Self(fields))
    }

    /// The bytes of a field; none if it is not there.
    pub(super) fn bytes(&self, name: &str) -> &[u8] {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or(&[], |(_, value)| value)
    }

    /// A field that is a number; `None` if it is not there or empty.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<u32>, BadField> {
        let value = self.bytes(name);
        if value.is_empty() {
            return Ok(None);
        }
        let number = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok());
        let wrong = BadField::Value {
            name,
            what: "is no number, or too large",
        };
        number.map(Some).ok_or(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 2] = ["name", "type"];

    #[test]
    fn names_are_any_bytes() {
        let fields = Fields::parse(Some("type=1&name=a%ff%00%2B+b"), &KNOWN).unwrap();
        assert_eq!(fields.bytes("name"), b"a\xff\0++b");
        assert_eq!(fields.number("type"), Ok(Some(1)));
        let none = Fields::parse(None, &KNOWN).unwrap();
        assert_eq!(none.bytes("name"), b"");
        assert_eq!(none.number("type"), Ok(None));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_passed_over() {
        let parse = |query| Fields::parse(Some(query), &KNOWN);
        assert!(matches!(parse("nmae=x"), Err(BadField::Unknown { .. })));
        assert_eq!(parse("name=x&name=y"), Err(BadField::Twice("name".into())));
        let many = parse("type=4294967296").unwrap();
        assert!(many.number("type").is_err());
        assert!(parse("type=%ff").unwrap().number("type").is_err());
    }
}

//! Java's properties syntax (`java.util.Properties.load`) with line numbers. Both systems read their files through it.

use super::ImportError;

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads a file. Of a key that is given several times all are returned; the last one counts in the real systems.
pub(super) fn read(file: &str, text: &str) -> (Vec<Property>, Vec<ImportError>) {
    let (mut properties, mut errors) = (Vec::new(), Vec::new());
    for (line, logical) in logical_lines(text) {
        match split(&logical) {
            Ok((key, value)) => properties.push(Property { line, key, value }),
            Err(message) => errors.push(ImportError { file: file.to_owned(), line, message }),
        }
    }
    (properties, errors)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines with their continuations, without comments and blank lines, each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    // A lone CR ends a line as well; a byte order mark is what some editors leave.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_start_matches(is_blank);
        // Within a continuation neither `#` nor emptiness has a meaning.
        if !continued && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let ends_in_continuation = backslashes % 2 == 1;
        let content = if ends_in_continuation { &line[..line.len() - 1] } else { line };
        match lines.last_mut().filter(|_| continued) {
            Some((_, logical)) => logical.push_str(content),
            None => lines.push((index + 1, content.to_owned())),
        }
        continued = ends_in_continuation;
    }
    lines
}

/// Key and value of a logical line: the key ends at the first `=`, `:` or blank that is not escaped.
fn split(line: &str) -> Result<(String, String), String> {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && (is_blank(c) || matches!(c, '=' | ':'));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank);
    Ok((unescape(key)?, unescape(rest)?))
}

fn unescape(text: &str) -> Result<String, String> {
    // In UTF-16, as in Java: characters beyond 16 bits are written as two escapes.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('u')) => {
                let digits: String = chars.by_ref().take(4).collect();
                let valid = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let code = u16::from_str_radix(&digits, 16).ok().filter(|_| valid);
                units.push(code.ok_or_else(|| format!("malformed `\\u{digits}`: expected four hexadecimal digits"))?);
                continue;
            }
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('f')) => '\u{c}',
            ('\\', Some(other)) => other,
            ('\\', None) => break,
            (other, _) => other,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "half a character: `\\ud800` to `\\udfff` come in pairs".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_java_reads_them() {
        type Expected = &'static [(usize, &'static str, &'static str)];
        let table: &[(&str, Expected)] = &[
            ("a=1", &[(1, "a", "1")]),
            ("a = 1\nb:2\nc 3\nd\t:\t4", &[(1, "a", "1"), (2, "b", "2"), (3, "c", "3"), (4, "d", "4")]),
            ("# c\n! c\n\n   \t\n  a=1", &[(5, "a", "1")]),
            ("a=1 # not a comment ", &[(1, "a", "1 # not a comment ")]),
            ("a=1,\\\n   2,\\\n# 3\nb=4", &[(1, "a", "1,2,# 3"), (4, "b", "4")]),
            ("a=x\\\\\nb=y", &[(1, "a", "x\\"), (2, "b", "y")]),
            ("a=\\\n\nb=1", &[(1, "a", ""), (3, "b", "1")]),
            ("a\\=b\\:c\\ d=e=f:g", &[(1, "a=b:c d", "e=f:g")]),
            ("a==1\nb: =1", &[(1, "a", "=1"), (2, "b", "=1")]),
            ("a\nb=\n=c", &[(1, "a", ""), (2, "b", ""), (3, "", "c")]),
            ("a=\\u00e9\\t\\q\\uD83D\\uDE00", &[(1, "a", "\u{e9}\tq\u{1f600}")]),
            ("a=1\r\nb=2\rc=3", &[(1, "a", "1"), (2, "b", "2"), (3, "c", "3")]),
            ("a=1\\", &[(1, "a", "1")]),
            ("\u{feff}a=1", &[(1, "a", "1")]),
        ];
        for (text, expected) in table {
            let (properties, errors) = read("f", text);
            let found: Vec<_> = properties.iter().map(|p| (p.line, p.key.as_str(), p.value.as_str())).collect();
            assert_eq!(found, *expected, "{text:?}");
            assert_eq!(errors, [], "{text:?}");
        }
    }

    #[test]
    fn broken_escapes_are_errors_with_their_line() {
        for bad in ["\\u00g1", "\\u12", "\\uD83D", "\\uD83Dx", "\\uDE00\\uD83D", "\\u+123"] {
            let (_, errors) = read("f", &format!("a=1\n\nb={bad}"));
            assert_eq!(errors.len(), 1, "{bad}");
            assert_eq!(errors[0].line, 3, "{bad}");
        }
    }
}

//! Finds functions in formatted Rust: rustfmt puts a function's last brace under its first word.

/// One function and how long it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// Lines from its `fn` to its last brace.
    pub length: usize,
}

fn name_of(line: &str) -> Option<&str> {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| matches!(*word, "pub" | "const" | "async") || word.starts_with("pub("));
    (words.next() == Some("fn"))
        .then(|| words.next())??
        .split(['(', '<'])
        .next()
}

/// Every function with a body in `text`.
#[must_use]
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = name_of(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        // A declaration without a body, or a body on the same line.
        if line.trim_end().ends_with([';', '}']) {
            continue;
        }
        let Some(offset) = lines
            .iter()
            .skip(index + 1)
            .position(|line| *line == closing)
        else {
            continue;
        };
        found.push(Function {
            name: name.to_owned(),
            line: index + 1,
            length: offset + 2,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_ends_at_its_own_brace() {
        let text = [
            "impl X {",
            "    pub(crate) fn a(&self) {",
            "        if b {",
            "        }",
            "    }",
            "    fn c();",
            "}",
        ]
        .join("\n");
        let found = functions(&text);
        assert_eq!(
            found,
            [Function {
                name: "a".into(),
                line: 2,
                length: 4
            }]
        );
    }
}

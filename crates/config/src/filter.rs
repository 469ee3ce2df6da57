//! The language of `accessLog.filter`: comparisons, `and`, `or`, `not`, parentheses.
//!
//! `and` binds closer than `or`, `not` closest. Whatever is wrong is told with its place in the text, counted in
//! characters from 1.

mod test;
mod token;

use crate::issue::{Fault, shown};
use crate::model::log_filter::LogFilter;

use token::{Token, Tokens};

/// Longest expression, in bytes: it is looked through for each exchange.
pub(crate) const MOST_BYTES: usize = 4096;
/// How deep parentheses and `not` may stand in each other: reading and looking take the stack as deep.
const MOST_DEEP: usize = 32;
/// Most comparisons.
const MOST_TESTS: usize = 64;

const EXAMPLE: &str = "write a comparison, such as status >= 500 or duration > 1s";

/// Reads an expression.
pub(crate) fn read(text: &str) -> Result<LogFilter, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("the filter is empty", format!("{EXAMPLE}, or leave the key out")));
    }
    if text.len() > MOST_BYTES {
        let problem = format!("the filter is longer than {MOST_BYTES} bytes");
        return Err(Fault::new(problem, "write a shorter one"));
    }
    if text.contains(char::is_control) {
        return Err(Fault::new("the filter holds a control character", "take it out"));
    }
    let mut reader = Reader { tokens: Tokens::new(text), tests: 0 };
    let filter = reader.any(MOST_DEEP)?;
    match reader.tokens.next()? {
        (_, Token::End) => Ok(filter),
        (at, Token::Close) => {
            Err(reader.tokens.fault(at, "this parenthesis was never opened", "take it out"))
        }
        (at, token) => {
            let problem = format!("{token} does not follow a comparison");
            Err(reader.tokens.fault(at, &problem, "put \"and\" or \"or\" between comparisons"))
        }
    }
}

struct Reader<'t> {
    tokens: Tokens<'t>,
    tests: usize,
}

impl Reader<'_> {
    fn any(&mut self, deep: usize) -> Result<LogFilter, Fault> {
        let first = self.all(deep)?;
        self.list(first, "or", |reader| reader.all(deep)).map(|parts| one_or(parts, LogFilter::Any))
    }

    fn all(&mut self, deep: usize) -> Result<LogFilter, Fault> {
        let first = self.one(deep)?;
        self.list(first, "and", |reader| reader.one(deep)).map(|parts| one_or(parts, LogFilter::All))
    }

    /// What stands between the words.
    fn list(
        &mut self,
        first: LogFilter,
        word: &str,
        mut next: impl FnMut(&mut Self) -> Result<LogFilter, Fault>,
    ) -> Result<Vec<LogFilter>, Fault> {
        let mut parts = vec![first];
        while self.tokens.take_word(word)? {
            parts.push(next(self)?);
        }
        Ok(parts)
    }

    fn one(&mut self, deep: usize) -> Result<LogFilter, Fault> {
        let (at, token) = self.tokens.next()?;
        let deeper = || {
            let problem = format!("parentheses and \"not\" stand more than {MOST_DEEP} deep here");
            deep.checked_sub(1).ok_or((problem, "write it flatter"))
        };
        match token {
            Token::Word("not") => {
                let deep = deeper().map_err(|(what, help)| self.tokens.fault(at, &what, help))?;
                Ok(LogFilter::Not(Box::new(self.one(deep)?)))
            }
            Token::Open => {
                let deep = deeper().map_err(|(what, help)| self.tokens.fault(at, &what, help))?;
                let inside = self.any(deep)?;
                match self.tokens.next()? {
                    (_, Token::Close) => Ok(inside),
                    (end, Token::End) => {
                        let place = self.tokens.place(at);
                        let problem = format!("the parenthesis of character {place} is not closed");
                        Err(self.tokens.fault(end, &problem, "add \")\""))
                    }
                    (at, token) => {
                        let problem = format!("{token} does not follow a comparison");
                        let help = "put \"and\" or \"or\" between comparisons, or close the parenthesis";
                        Err(self.tokens.fault(at, &problem, help))
                    }
                }
            }
            Token::Word(name) => {
                self.tests += 1;
                if self.tests > MOST_TESTS {
                    let problem = format!("there are more than {MOST_TESTS} comparisons");
                    return Err(self.tokens.fault(at, &problem, "say it with fewer; \"~\" takes a|b"));
                }
                test::read(&mut self.tokens, at, name).map(LogFilter::Test)
            }
            Token::End => Err(self.tokens.fault(at, "a comparison is missing", EXAMPLE)),
            other => {
                let problem = format!("{other} stands where a field's name belongs");
                Err(self.tokens.fault(at, &problem, EXAMPLE))
            }
        }
    }
}

/// The only part itself, or all of them.
fn one_or(mut parts: Vec<LogFilter>, all: impl FnOnce(Vec<LogFilter>) -> LogFilter) -> LogFilter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            all(parts)
        }
        None => all(parts),
    }
}

/// A word of the expression in a message.
fn quoted(text: &str) -> String {
    shown(text)
}

#[cfg(test)]
mod tests;

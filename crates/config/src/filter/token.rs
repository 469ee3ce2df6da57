//! The words and signs of an expression.

use std::fmt;

use crate::issue::Fault;
use crate::model::log_filter::Order;

use super::quoted;

/// A word, a sign, or what is in quotes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    Word(&'t str),
    Quoted(String),
    Order(Order),
    Like,
    Open,
    Close,
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(&quoted(word)),
            Self::Quoted(text) => write!(f, "the text {}", quoted(text)),
            Self::Order(order) => write!(f, "\"{}\"", order.sign()),
            Self::Like => f.write_str("\"~\""),
            Self::Open => f.write_str("\"(\""),
            Self::Close => f.write_str("\")\""),
            Self::End => f.write_str("the end"),
        }
    }
}

/// The text that is left.
#[derive(Clone)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

/// What ends a word: blanks, and every sign that is one here or in the languages that people come from.
fn ends_word(character: char) -> bool {
    character.is_whitespace() || "()\"'=!<>~&|,".contains(character)
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next one and where it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'t>), Fault> {
        let rest = self.rest().trim_start();
        let at = self.text.len() - rest.len();
        self.at = at;
        let Some(first) = rest.chars().next() else { return Ok((at, Token::End)) };
        let (token, len) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '~' => (Token::Like, 1),
            '"' | '\'' => {
                let (text, len) = self.quoted(at, rest, first)?;
                (Token::Quoted(text), len)
            }
            _ => {
                if let Some(order) = Order::ALL.into_iter().find(|order| rest.starts_with(order.sign())) {
                    (Token::Order(order), order.sign().len())
                } else {
                    let word = rest.split(ends_word).next().unwrap_or_default();
                    if word.is_empty() {
                        return Err(self.no_sign(at, rest, first));
                    }
                    (Token::Word(word), word.len())
                }
            }
        };
        self.at = at + len;
        Ok((at, token))
    }

    /// Takes the word if it is the next.
    pub(super) fn take_word(&mut self, word: &str) -> Result<bool, Fault> {
        let before = self.at;
        let is_it = self.next()?.1 == Token::Word(word);
        if !is_it {
            self.at = before;
        }
        Ok(is_it)
    }

    /// Up to the quote that it began with: the text and how many bytes it took.
    fn quoted(&self, at: usize, rest: &str, quote: char) -> Result<(String, usize), Fault> {
        let mut text = String::new();
        let mut characters = rest.char_indices().skip(1).peekable();
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => match characters.next_if(|(_, next)| *next == quote || *next == '\\') {
                    Some((_, escaped)) => text.push(escaped),
                    // Regular expressions are full of them.
                    None => text.push('\\'),
                },
                _ if character == quote => return Ok((text, index + 1)),
                _ => text.push(character),
            }
        }
        let help = format!("add {quote}");
        Err(self.fault(at, "the quote that begins here does not end", &help))
    }

    fn no_sign(&self, at: usize, rest: &str, first: char) -> Fault {
        let sign = ["&&", "||", "&", "|", "!", "="].into_iter().find(|sign| rest.starts_with(sign));
        let help = match sign {
            Some("&&" | "&") => "write \"and\"",
            Some("||" | "|") => "write \"or\"",
            Some("!") => "write \"not\", or \"!=\"",
            Some(_) => "write \"==\"",
            None => "take it out, or put it in quotes with the text that it belongs to",
        };
        let sign = sign.map_or_else(|| first.to_string(), str::to_owned);
        self.fault(at, &format!("{} means nothing here", quoted(&sign)), help)
    }

    /// The character that begins at this byte, counted from 1.
    pub(super) fn place(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or_default().chars().count() + 1
    }

    pub(super) fn fault(&self, at: usize, problem: &str, help: &str) -> Fault {
        Fault::new(format!("at character {} of the filter: {problem}", self.place(at)), help)
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }
}

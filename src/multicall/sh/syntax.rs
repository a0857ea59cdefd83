//! From text to commands; `word` has the words. What the shell can't do is an error here, before anything of the text has run.

use super::word::name_length;

/// Why a text is no list of commands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// More text could make it one.
    #[error("the input ends within {0}")]
    Incomplete(&'static str),
    #[error("{0} is not supported")]
    Unsupported(String),
    #[error("{0:?} is not expected here")]
    Unexpected(String),
}

/// One command and when it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub when: When,
    pub command: Command,
}

/// What the exit status before must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    /// Behind `&&`.
    Succeeded,
    /// Behind `||`.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
        redirections: Vec<Redirection>,
    },
    For {
        variable: String,
        words: Vec<Word>,
        body: Vec<Step>,
        redirections: Vec<Redirection>,
    },
}

/// A word before its variables have their values.
pub type Word = Vec<Piece>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text { text: String, quoted: bool },
    Variable { name: String, quoted: bool },
}

/// `2>file`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    pub stream: usize,
    pub to: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `>&1`
    Stream(usize),
}

/// Reads a text of commands.
pub fn parse(text: &str) -> Result<Vec<Step>, SyntaxError> {
    let mut parser = Parser {
        rest: text,
        within: "a list of commands",
    };
    let steps = parser.steps(false)?;
    match parser.rest.chars().next() {
        None => Ok(steps),
        Some(other) => Err(SyntaxError::Unexpected(other.to_string())),
    }
}

/// Words that begin what this shell doesn't have.
const UNSUPPORTED: [&str; 9] = ["if", "while", "until", "case", "{", "}", "!", "function", "[["];

pub(super) struct Parser<'a> {
    pub(super) rest: &'a str,
    /// What an input that ends here would be cut off in.
    within: &'static str,
}

impl Parser<'_> {
    /// Commands up to the end, or, in a loop, up to its `done`.
    fn steps(&mut self, in_loop: bool) -> Result<Vec<Step>, SyntaxError> {
        let mut steps: Vec<Step> = Vec::new();
        let mut when = When::Always;
        loop {
            self.space(true);
            if in_loop && self.keyword("done") {
                break;
            }
            if self.rest.is_empty() {
                match (in_loop, when) {
                    (false, When::Always) => break,
                    _ => return Err(SyntaxError::Incomplete(self.within)),
                }
            }
            let command = self.command()?;
            steps.push(Step { when, command });
            self.space(false);
            when = match () {
                () if self.take("&&") => When::Succeeded,
                () if self.take("||") => When::Failed,
                () if self.rest.starts_with(";;") => return Err(SyntaxError::Unexpected(";;".into())),
                () if self.take(";") || self.take("\n") || self.rest.is_empty() => When::Always,
                () => return Err(self.stray()),
            };
        }
        if when == When::Always {
            Ok(steps)
        } else {
            Err(SyntaxError::Unexpected("done".into()))
        }
    }

    /// The character at which no command goes on.
    pub(super) fn stray(&self) -> SyntaxError {
        let name = match self.rest.as_bytes().first() {
            Some(b'|') => "a pipe (|)",
            Some(b'&') => "a command in the background (&)",
            Some(b'(') => "a subshell or function",
            _ => return SyntaxError::Unexpected(self.rest.chars().take(1).collect()),
        };
        SyntaxError::Unsupported(name.into())
    }

    fn command(&mut self) -> Result<Command, SyntaxError> {
        if self.keyword("for") {
            return self.r#for();
        }
        if let Some(word) = UNSUPPORTED.into_iter().find(|word| self.is_keyword(word)) {
            return Err(SyntaxError::Unsupported(format!("`{word}`")));
        }
        if let Some(word) = ["do", "done", "then", "fi"]
            .into_iter()
            .find(|word| self.is_keyword(word))
        {
            return Err(SyntaxError::Unexpected(word.into()));
        }
        let (mut assignments, mut words, mut redirections) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.space(false);
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
            } else if let Some(name) = words.is_empty().then(|| self.assignment()).flatten() {
                assignments.push((name, self.word()?));
            } else {
                match self.word()? {
                    word if word.is_empty() => break,
                    word => words.push(word),
                }
            }
        }
        if assignments.is_empty() && words.is_empty() && redirections.is_empty() {
            return Err(self.stray());
        }
        Ok(Command::Simple {
            assignments,
            words,
            redirections,
        })
    }

    fn r#for(&mut self) -> Result<Command, SyntaxError> {
        let before = std::mem::replace(&mut self.within, "a loop (`done` is missing)");
        self.space(false);
        let variable = self.name().ok_or_else(|| self.unexpected())?;
        self.space(true);
        let mut words = Vec::new();
        if self.keyword("in") {
            loop {
                self.space(false);
                match self.word()? {
                    word if word.is_empty() => break,
                    word => words.push(word),
                }
            }
        } else {
            words.push(vec![Piece::Variable {
                name: "@".into(),
                quoted: true,
            }]);
        }
        self.take(";");
        self.space(true);
        if !self.keyword("do") {
            return Err(self.unexpected());
        }
        let body = self.steps(true)?;
        let mut redirections = Vec::new();
        loop {
            self.space(false);
            match self.redirection()? {
                Some(redirection) => redirections.push(redirection),
                None => break,
            }
        }
        self.within = before;
        Ok(Command::For {
            variable,
            words,
            body,
            redirections,
        })
    }

    /// What stands here doesn't belong here, or nothing stands here yet.
    fn unexpected(&self) -> SyntaxError {
        match self.rest.is_empty() {
            true => SyntaxError::Incomplete(self.within),
            false => SyntaxError::Unexpected(self.rest.split_whitespace().next().unwrap_or("\n").into()),
        }
    }

    fn redirection(&mut self) -> Result<Option<Redirection>, SyntaxError> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = self.rest.split_at(digits);
        if !behind.starts_with(['<', '>']) {
            return Ok(None);
        }
        self.rest = behind;
        if let Some(other) = ["<<", "<&", "<>", ">|"]
            .into_iter()
            .find(|other| behind.starts_with(other))
        {
            return Err(SyntaxError::Unsupported(format!("`{other}`")));
        }
        let input = behind.starts_with('<');
        let stream = match number {
            "" => usize::from(!input),
            "0" | "1" | "2" => usize::from(number.as_bytes()[0] - b'0'),
            _ => return Err(SyntaxError::Unsupported(format!("the stream {number}"))),
        };
        if self.take(">&") {
            let to = ["0", "1", "2"].into_iter().position(|stream| self.take(stream));
            let to = to.ok_or_else(|| SyntaxError::Unsupported("`>&` other than of 0, 1 and 2".into()))?;
            return Ok(Some(Redirection {
                stream,
                to: Target::Stream(to),
            }));
        }
        let append = self.take(">>");
        if !append {
            self.rest = &self.rest[1..];
        }
        self.space(false);
        let word = self.word()?;
        if word.is_empty() {
            return Err(self.unexpected());
        }
        let to = match (input, append) {
            (true, _) => Target::Read(word),
            (_, true) => Target::Append(word),
            _ => Target::Write(word),
        };
        Ok(Some(Redirection { stream, to }))
    }

    /// `NAME=` at the beginning of a word.
    fn assignment(&mut self) -> Option<String> {
        let before = self.rest;
        let name = self.name();
        if name.is_some() && self.take("=") {
            return name;
        }
        self.rest = before;
        None
    }

    fn name(&mut self) -> Option<String> {
        let length = name_length(self.rest);
        let (name, behind) = self.rest.split_at(length);
        self.rest = behind;
        (length > 0).then(|| name.to_owned())
    }

    fn take(&mut self, text: &str) -> bool {
        let behind = self.rest.strip_prefix(text);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    fn is_keyword(&self, word: &str) -> bool {
        let behind = self.rest.strip_prefix(word);
        behind.is_some_and(|behind| {
            behind.is_empty() || behind.starts_with(|c: char| c.is_whitespace() || ";&|<>()".contains(c))
        })
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.is_keyword(word) && self.take(word)
    }

    /// Passes over blanks, comments and lines that go on, and, where they mean nothing, line feeds.
    fn space(&mut self, lines: bool) {
        loop {
            let before = self.rest.len();
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
            if self.rest.starts_with('#') {
                self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
            }
            let _passed = (lines && self.take("\n")) || self.take("\\\n");
            if self.rest.len() == before {
                return;
            }
        }
    }
}

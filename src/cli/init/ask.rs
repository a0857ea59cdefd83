//! Questions to the person who starts, on standard error: standard output is for what was done.

use std::io::{self, BufRead, Write};

use crate::cli::exit::UsageError;

/// Asks, or takes what it proposes.
pub struct Questions<I> {
    /// None: nothing is asked.
    pub answers: Option<I>,
}

impl<I: BufRead> Questions<I> {
    /// An answer that `refuse` has nothing against; an empty one is what is proposed.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn ask(
        &mut self,
        question: &str,
        proposed: &str,
        refuse: impl Fn(&str) -> Option<String>,
    ) -> Result<String, UsageError> {
        let Some(answers) = &mut self.answers else {
            return Ok(proposed.to_owned());
        };
        loop {
            say(&format!("{question} [{proposed}]: "));
            let mut line = String::new();
            let read = answers.read_line(&mut line);
            if read.map_err(|error| UsageError(format!("reading the answer: {error}")))? == 0 {
                return Err(UsageError(
                    "nobody answers on standard input: --yes takes what is found".into(),
                ));
            }
            let answer = match line.trim() {
                "" => proposed,
                answer => answer,
            };
            match refuse(answer) {
                None => return Ok(answer.to_owned()),
                Some(why) => say(&format!("{why}\n")),
            }
        }
    }
}

/// Where nobody sees it, nobody may answer it either, which is told.
fn say(text: &str) {
    let mut err = io::stderr().lock();
    let _unseen = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_until_the_answer_is_good() {
        let mut questions = Questions {
            answers: Some(&b"bad\n\n good \n"[..]),
        };
        let refuse = |answer: &str| (answer == "bad").then(|| "not that".to_owned());
        assert_eq!(questions.ask("a", "x", refuse).expect("an answer"), "x");
        assert_eq!(questions.ask("b", "x", refuse).expect("an answer"), "good");
        let nobody = questions.ask("c", "x", refuse).expect_err("no answer");
        assert!(nobody.to_string().contains("--yes"), "{nobody}");
        let mut silent = Questions::<&[u8]> { answers: None };
        assert_eq!(silent.ask("d", "x", refuse).expect("the proposal"), "x");
    }
}

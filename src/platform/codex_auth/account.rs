//! The accounts that logins are kept for.

use std::fmt;

/// Account 1, 2 or 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(u8);

impl Account {
    pub const ALL: [Account; 3] = [Account(1), Account(2), Account(3)];

    /// Of `1`, `2` or `3`, in this spelling.
    pub fn named(text: &str) -> Option<Account> {
        Account::ALL.into_iter().find(|account| account.0.to_string() == text)
    }

    /// Its login's file in the folder.
    pub fn file(self) -> String {
        format!("auth-{}.json", self.0)
    }

    /// A variable of the environment that is its own: the first account's has no number.
    pub fn variable(self, name: &str) -> String {
        match self.0 {
            1 => name.to_owned(),
            number => format!("{name}_{number}"),
        }
    }

    /// Its number, as a key of the rotator's state.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "account-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_with_one_spelling_each() {
        let all: Vec<_> = ["1", "2", "3"].into_iter().filter_map(Account::named).collect();
        assert_eq!(all, Account::ALL);
        for text in ["", "0", "4", "01", "+1", " 1", "1 ", "1.0", "../1", "../x", "１"] {
            assert_eq!(Account::named(text), None, "{text:?}");
        }
        assert_eq!(Account(1).variable("TOKEN"), "TOKEN");
        assert_eq!(Account(3).variable("TOKEN"), "TOKEN_3");
    }
}

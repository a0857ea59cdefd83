//! The matrix of rules and mutants, which shows whether every check can fail.

use serde::Serialize;

/// A row of a contract's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `harness-token/token/refuse`.
    pub id: String,
    /// The rule, in a sentence.
    pub title: String,
}

/// A named defect that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mutant {
    pub name: String,
    /// The row that it breaks.
    pub row: String,
    /// What is broken, in a sentence.
    pub defect: String,
}

/// What became of one row's checks on the platform with one mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum CellResult {
    /// This check failed, and didn't without the mutant.
    Killed {
        check: String,
    },
    /// All checks passed.
    Survived,
    NotRun,
    /// It could not be told.
    Error {
        reason: String,
    },
}

/// One row on the platform with one mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The mutant's name.
    pub mutant: String,
    /// The row's id.
    pub row: String,
    #[serde(flatten)]
    pub result: CellResult,
}

/// The verdict on a mutant: whether its own row notices it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<'m> {
    Dead { check: &'m str },
    Survived,
    CouldNotTell { why: String },
}

/// Rules, mutants, and what became of them.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    pub rows: Vec<Row>,
    pub mutants: Vec<Mutant>,
    pub cells: Vec<Cell>,
    /// It ended early: what could not be told is so for that reason.
    pub interrupted: bool,
}

/// How many mutants met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub mutants: usize,
    pub dead: usize,
    pub survived: usize,
    pub could_not_tell: usize,
    pub rows: usize,
    pub rows_without_killer: usize,
}

impl Matrix {
    /// What the checks of the mutant's own row say. Other rows' don't count.
    pub fn fate(&self, mutant: &Mutant) -> Fate<'_> {
        let could_not_tell = |why: String| Fate::CouldNotTell { why };
        let cell = self
            .cells
            .iter()
            .find(|c| c.mutant == mutant.name && c.row == mutant.row);
        match cell.map(|c| &c.result) {
            Some(CellResult::Killed { check }) => Fate::Dead { check },
            Some(CellResult::Survived) => Fate::Survived,
            Some(CellResult::Error { reason }) => could_not_tell(reason.clone()),
            Some(CellResult::NotRun) => could_not_tell("its row was not run".to_owned()),
            None if self.rows.iter().any(|r| r.id == mutant.row) => could_not_tell("its row was not run".to_owned()),
            None => could_not_tell(format!("there is no row {}", mutant.row)),
        }
    }

    /// Names of the mutants that a check of this row killed, those that break
    /// another row among them.
    pub fn killers(&self, row: &Row) -> Vec<&str> {
        self.mutants
            .iter()
            .map(|m| m.name.as_str())
            .filter(|name| {
                self.cells
                    .iter()
                    .any(|c| c.mutant == *name && c.row == row.id && matches!(c.result, CellResult::Killed { .. }))
            })
            .collect()
    }

    /// Counts.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            mutants: self.mutants.len(),
            rows: self.rows.len(),
            ..Tally::default()
        };
        for mutant in &self.mutants {
            match self.fate(mutant) {
                Fate::Dead { .. } => tally.dead += 1,
                Fate::Survived => tally.survived += 1,
                Fate::CouldNotTell { .. } => tally.could_not_tell += 1,
            }
        }
        let without = self.rows.iter().filter(|r| self.killers(r).is_empty());
        tally.rows_without_killer = without.count();
        tally
    }

    /// Whether something is shown to be wrong: a mutant survived, or a row has no killer though all of its
    /// mutants could be told.
    pub fn is_broken(&self) -> bool {
        let told = |row: &Row| {
            let mut mutants = self.mutants.iter().filter(|mutant| mutant.row == row.id);
            mutants.all(|mutant| !matches!(self.fate(mutant), Fate::CouldNotTell { .. }))
        };
        let mut without = self.rows.iter().filter(|row| self.killers(row).is_empty());
        self.tally().survived > 0 || without.any(told)
    }

    /// Whether every mutant is dead and every row has a killer. Nothing tried
    /// shows nothing.
    pub fn holds(&self) -> bool {
        let tally = self.tally();
        tally.mutants > 0 && tally.dead == tally.mutants && tally.rows_without_killer == 0
    }

    /// `36 mutants: 36 dead, 0 survived, 0 could not tell; 38 rows, each with a killer`.
    pub fn summary(&self) -> String {
        let Tally {
            mutants,
            dead,
            survived,
            could_not_tell,
            rows,
            rows_without_killer,
        } = self.tally();
        let s = |n: usize| if n == 1 { "" } else { "s" };
        let killers = match rows_without_killer {
            0 => "each with a killer".to_owned(),
            n => format!("{n} without a killer"),
        };
        format!(
            "{}{mutants} mutant{}: {dead} dead, {survived} survived, {could_not_tell} could not \
             tell; {rows} row{}, {killers}",
            if self.interrupted { "interrupted; " } else { "" },
            s(mutants),
            s(rows)
        )
    }
}

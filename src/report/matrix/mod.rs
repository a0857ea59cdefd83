//! The matrix of rules and mutants as text, Markdown and JSON.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::events::matrix::{Fate, Matrix, Mutant, Row};
use crate::report::document::API_VERSION;
use crate::report::markdown::{cell, escape};
use crate::report::text::{one_line, without_commands, wrap};

/// Columns before a text that has a label.
const LABEL: usize = 12;

impl Matrix {
    /// For a person: each mutant with its fate, each row with its killers. `quiet`: only mutants that aren't dead and
    /// rows without a killer.
    pub fn console(&self, width: usize, quiet: bool) -> String {
        let is_told = |mutant: &&Mutant| !quiet || !matches!(self.fate(mutant), Fate::Dead { .. });
        let mutants: Vec<&Mutant> = self.mutants.iter().filter(is_told).collect();
        let is_told = |row: &&Row| !quiet || self.killers(row).is_empty();
        let rows: Vec<&Row> = self.rows.iter().filter(is_told).collect();
        let mut text = String::new();
        if !mutants.is_empty() {
            text += "Mutants: what each broke, and which check noticed\n\n";
        }
        for mutant in mutants {
            let (word, label, detail) = match self.fate(mutant) {
                Fate::Dead { check } => ("DEAD", "killed by", check.to_owned()),
                Fate::Survived => (
                    "SURVIVED",
                    "but",
                    "no check of its row failed: the row can't notice this defect".to_owned(),
                ),
                Fate::CouldNotTell { why } => ("COULD NOT TELL", "why", why),
            };
            text += &format!("{word}  {}\n", mutant.name);
            text += &labelled("breaks", &mutant.row, width);
            text += &labelled("defect", &mutant.defect, width);
            text += &labelled(label, &detail, width);
        }
        if !rows.is_empty() {
            let gap = if text.is_empty() { "" } else { "\n" };
            text += &format!("{gap}Rows: the mutants that each has caught\n\n");
        }
        for row in rows {
            text += &format!("{}\n", row.id);
            let killers = match self.killers(row).join(", ") {
                none if none.is_empty() => "NONE: it is not shown that this row can fail".to_owned(),
                some => some,
            };
            text += &labelled("killers", &killers, width);
        }
        let gap = if text.is_empty() { "" } else { "\n" };
        text += &format!("{gap}{}\n", wrap(&self.summary(), width).join("\n"));
        without_commands(&text).into_owned()
    }

    fn verdict(&self) -> &'static str {
        match self.holds() {
            true => "PASSED",
            false if self.interrupted => "INTERRUPTED",
            false if self.is_broken() => "FAILED",
            false => "COULD NOT TELL",
        }
    }

    /// For a CI summary.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# gauntlet prove: {}\n\n{}\n\n## Mutants\n\n| mutant | row | defect | verdict | by, or why |\n|---|---|---|---|---|\n",
            self.verdict(),
            self.summary()
        );
        for mutant in &self.mutants {
            let (verdict, detail) = match self.fate(mutant) {
                Fate::Dead { check } => ("dead", cell(check)),
                Fate::Survived => ("**survived**", "no check of its row failed".to_owned()),
                Fate::CouldNotTell { why } => ("**could not tell**", escape(&why)),
            };
            text += &format!(
                "| {} | {} | {} | {verdict} | {detail} |\n",
                cell(&mutant.name),
                cell(&mutant.row),
                escape(&mutant.defect)
            );
        }
        text += "\n## Rows\n\n| row | rule | killers |\n|---|---|---|\n";
        for row in &self.rows {
            let killers = match self.killers(row).into_iter().map(cell).collect::<Vec<_>>() {
                none if none.is_empty() => "**none**".to_owned(),
                some => some.join(", "),
            };
            text += &format!("| {} | {} | {killers} |\n", cell(&row.id), escape(&row.title));
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let mutants: Vec<Value> = self
            .mutants
            .iter()
            .map(|mutant| {
                let (verdict, check, reason) = match self.fate(mutant) {
                    Fate::Dead { check } => ("dead", Some(check), None),
                    Fate::Survived => ("survived", None, None),
                    Fate::CouldNotTell { why } => ("could-not-tell", None, Some(why)),
                };
                json!({
                    "name": mutant.name,
                    "row": mutant.row,
                    "defect": mutant.defect,
                    "verdict": verdict,
                    "killed_by": check,
                    "reason": reason,
                })
            })
            .collect();
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| json!({"id": row.id, "title": row.title, "killers": self.killers(row)}))
            .collect();
        json!({
            "apiVersion": API_VERSION,
            "kind": "Matrix",
            "holds": self.holds(),
            "interrupted": self.interrupted,
            "summary": self.tally(),
            "mutants": mutants,
            "rows": rows,
            "cells": self.cells,
        })
    }
}

fn labelled(label: &str, text: &str, width: usize) -> String {
    wrap(&one_line(text), width.saturating_sub(LABEL))
        .iter()
        .enumerate()
        .map(|(n, line)| {
            let label = if n == 0 { label } else { "" };
            format!("{label:>10}  {line}\n")
        })
        .collect()
}

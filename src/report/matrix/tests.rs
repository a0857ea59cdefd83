use super::*;
use crate::events::matrix::{Cell, CellResult, Mutant, Row};

fn matrix() -> Matrix {
    let row = |id: &str, title: &str| Row {
        id: format!("harness-token/{id}"),
        title: title.to_owned(),
    };
    let mutant = |name: &str, row: &str, defect: &str| Mutant {
        name: name.to_owned(),
        row: format!("harness-token/{row}"),
        defect: defect.to_owned(),
    };
    let cell = |mutant: &str, row: &str, result: CellResult| Cell {
        mutant: mutant.to_owned(),
        row: format!("harness-token/{row}"),
        result,
    };
    let killed = |check: &str| CellResult::Killed {
        check: check.to_owned(),
    };
    Matrix {
        interrupted: false,
        rows: vec![
            row("token/refuse", "None, empty or wrong | 401"),
            row("token/flow", "The session's token is the secret's"),
            row("warm/stale", "Stale pods refuse"),
            row("alb/strip", "The balancer strips Authorization"),
        ],
        mutants: vec![
            mutant(
                "accepts-any",
                "token/refuse",
                "The door opens to any token, also to none, and so to everybody who can reach it",
            ),
            mutant("accepts-empty", "token/refuse", "The door opens to an empty token"),
            mutant("null-token", "token/flow", "tty_token is always <null>"),
            mutant("late-env", "warm/stale", "Pods read the secret live"),
            mutant("lost", "no/such", "Names a row that isn't there"),
        ],
        cells: vec![
            cell(
                "accepts-any",
                "token/refuse",
                killed("harness-token/token/refuse[direct]#2.1"),
            ),
            cell("accepts-any", "warm/stale", killed("harness-token/warm/stale#3.1")),
            cell("accepts-empty", "token/refuse", CellResult::Survived),
            // Noticed by another row: its own has to.
            cell("accepts-empty", "alb/strip", CellResult::Survived),
            cell(
                "null-token",
                "token/flow",
                CellResult::Error {
                    reason: "the scenario ran out of time after 30s".to_owned(),
                },
            ),
            cell("late-env", "warm/stale", CellResult::NotRun),
        ],
    }
}

#[test]
fn quietly_only_what_is_not_shown_to_hold() {
    let text = matrix().console(80, true);
    let whole = matrix().console(80, false);
    for told in ["SURVIVED  accepts-empty", "harness-token/alb/strip\n   killers  NONE"] {
        assert!(text.contains(told) && whole.contains(told), "{told} in\n{text}");
    }
    for silent in ["DEAD", "harness-token/warm/stale\n   killers"] {
        assert!(!text.contains(silent) && whole.contains(silent), "{silent} in\n{text}");
    }
    let mut good = matrix();
    good.mutants.truncate(1);
    good.rows.truncate(1);
    assert_eq!(good.console(80, true), format!("{}\n", good.summary()));
}

#[test]
fn console() {
    let text = matrix().console(80, false);
    assert!(text.lines().all(|l| l.chars().count() <= 80));
    insta::assert_snapshot!(text);
}

#[test]
fn markdown() {
    insta::assert_snapshot!(matrix().markdown());
}

#[test]
fn json() {
    insta::assert_snapshot!(format!("{:#}", matrix().json()));
}

#[test]
fn only_a_failed_check_of_its_own_row_kills_a_mutant() {
    let mut matrix = matrix();
    assert!(!matrix.holds());
    let elsewhere = Cell {
        mutant: "late-env".to_owned(),
        row: "harness-token/alb/strip".to_owned(),
        result: CellResult::Killed {
            check: "x#1.1".to_owned(),
        },
    };
    matrix.cells.push(elsewhere);
    assert!(matches!(matrix.fate(&matrix.mutants[3]), Fate::CouldNotTell { .. }));
    assert_eq!(matrix.killers(&matrix.rows[3]), ["late-env"]);
}

#[test]
fn nothing_tried_shows_nothing() {
    assert!(!Matrix::default().holds());
    let mut matrix = matrix();
    matrix.rows.truncate(1);
    matrix.mutants.truncate(1);
    assert!(matrix.holds());
    assert_eq!(
        matrix.summary(),
        "1 mutant: 1 dead, 0 survived, 0 could not tell; 1 row, each with a killer"
    );
}

#[test]
fn what_could_not_be_told_is_no_defect() {
    let mut matrix = matrix();
    assert!(matrix.is_broken(), "a mutant survived");
    matrix.cells.iter_mut().for_each(|cell| {
        if cell.result == CellResult::Survived {
            cell.result = CellResult::NotRun;
        }
    });
    matrix.rows.retain(|row| row.id != "harness-token/alb/strip");
    assert!(!matrix.is_broken() && !matrix.holds());
    assert!(matrix.markdown().starts_with("# gauntlet prove: COULD NOT TELL\n"));
    matrix.interrupted = true;
    assert!(matrix.markdown().starts_with("# gauntlet prove: INTERRUPTED\n"));
    assert!(matrix.summary().starts_with("interrupted; "));
    // A row that no mutant is about can't be shown to fail, whatever could be told.
    matrix.rows.push(Row {
        id: "harness-token/nobody".to_owned(),
        title: String::new(),
    });
    assert!(matrix.is_broken());
}

//! The HTTP side in text: a line and a table, for the summary and the reports.

use super::{HttpResult, Requests};
use crate::load::summary::milliseconds;

/// What it is called in summaries and reports.
pub const TITLE: &str = "HTTP side (closed model)";

/// The columns of its table.
pub const COLUMNS: [&str; 11] = [
    "request",
    "count",
    "right",
    "opened",
    "unexpected",
    "failed",
    "p50",
    "p90",
    "p99",
    "max",
    "statuses",
];

impl HttpResult {
    /// In a line: who, for how long, and where.
    pub fn what(&self) -> String {
        let places: Vec<&str> = [&self.api, &self.models]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        format!(
            "{} users for {:.1} s, each waits for its answer: {}",
            self.users,
            self.seconds,
            places.join(" and ")
        )
    }

    /// The table's rows, a text for each of the columns.
    pub fn rows(&self) -> Vec<[String; COLUMNS.len()]> {
        let row = |(name, requests): (&String, &Requests)| {
            let latency = &requests.latency;
            let of = |value: f64| match latency.count {
                0 => "-".to_owned(),
                _ => milliseconds(value),
            };
            let statuses: Vec<String> = requests
                .statuses
                .iter()
                .map(|(status, count)| format!("{status}: {count}"))
                .collect();
            [
                name.clone(),
                requests.count.to_string(),
                requests.right.to_string(),
                requests.opened.to_string(),
                requests.unexpected.to_string(),
                requests.failed.to_string(),
                of(latency.p50),
                of(latency.p90),
                of(latency.p99),
                of(latency.max),
                statuses.join(", "),
            ]
        };
        self.requests.iter().map(row).collect()
    }

    /// Failures with their kinds and counts, each kind of request apart.
    pub fn failures(&self) -> Vec<(String, u64)> {
        let failures = self.requests.iter().flat_map(|(name, requests)| {
            let of = move |(why, count): (&String, &u64)| (format!("{name}: {why}"), *count);
            requests.failures.iter().map(of)
        });
        failures.collect()
    }
}

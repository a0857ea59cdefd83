//! The binary as its users run it: black box, one module for each subject.

mod binary;

mod agents;
mod attempts;
mod browser;
mod codex;
mod command_line;
mod config;
mod containers;
mod delivery;
mod documentation;
mod endings;
mod expected;
mod foreign;
mod formats;
mod gateways;
mod init;
mod installation;
mod interop;
mod kind;
mod load;
mod load_reports;
mod log;
mod manifests;
mod profiles;
mod reports;
mod reproduce;
mod run;
mod scenario_errors;
mod shell;
mod site;
mod surroundings;
mod templates;
mod trouble;
mod up;
mod watch;

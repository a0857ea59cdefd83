//! Trouble: hostile servers, odd files, odd surroundings, ends in the middle. Each has to give a clear
//! message and the right exit code, in bounded time and memory, and to leave nothing running.

mod client;
mod commands;
mod files;
mod process;
mod surroundings;

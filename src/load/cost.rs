//! A process's cost, as the kernel counts it (proc_pid_stat(5), proc_pid_status(5)).

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Processor time and memory of a process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// Resident memory, in bytes.
    pub resident: u64,
}

impl Cost {
    /// Of this process.
    pub fn own() -> Option<Cost> {
        Cost::of("self")
    }

    /// Of a process by its id.
    pub fn of(process: &str) -> Option<Cost> {
        let folder = format!("/proc/{process}");
        let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
        let status = std::fs::read_to_string(format!("{folder}/status")).ok()?;
        read(&stat, &status, rustix::param::clock_ticks_per_second())
    }

    /// Processor time in user mode and in the kernel.
    pub fn processor(&self) -> Duration {
        self.user + self.system
    }

    /// Of two processes together.
    pub fn and(&self, other: &Cost) -> Cost {
        Cost {
            user: self.user + other.user,
            system: self.system + other.system,
            resident: self.resident + other.resident,
        }
    }

    /// What was used between two moments; memory as what came on top.
    pub fn since(&self, before: &Cost) -> Cost {
        Cost {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            resident: self.resident.saturating_sub(before.resident),
        }
    }
}

/// Processor time of this thread so far, in nanoseconds.
pub fn thread_nanoseconds() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

fn read(stat: &str, status: &str, ticks: u64) -> Option<Cost> {
    // The program's name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut time = || {
        let spent: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_micros(spent * 1_000_000 / ticks.max(1)))
    };
    let (user, system) = (time()?, time()?);
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Cost {
        user,
        system,
        resident: resident * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_fields() {
        let stat = "7 (a) R 1 2) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 99 1000 25 18446744073709551615";
        let cost = read(stat, "Name:\ta\nVmRSS:\t    100 kB\n", 100).expect("read");
        assert_eq!(
            (cost.user, cost.system),
            (Duration::from_millis(2500), Duration::from_millis(500))
        );
        assert_eq!(cost.resident, 100 * 1024);
    }

    #[test]
    fn a_thread_that_works_is_told_from_one_that_waits() {
        let before = thread_nanoseconds();
        let sum = (0..1_000_000_u64).fold(0, |sum: u64, number| std::hint::black_box(sum ^ number));
        assert!(std::hint::black_box(sum) < u64::MAX);
        assert!(thread_nanoseconds() > before);
    }

    #[test]
    fn this_process_has_a_cost() {
        let cost = Cost::own().expect("read");
        assert!(cost.resident > 1 << 20, "{cost:?}");
    }
}

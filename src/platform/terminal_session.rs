//! Processes left behind by a terminal's program.

use rustix::process::Pid;

pub fn session_members(leader: Pid) -> Vec<Pid> {
    let session = leader.as_raw_nonzero().get();
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|id| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // After the name in parentheses: state, parent, group, session.
            let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
            fields.split_whitespace().nth(3).and_then(|field| field.parse().ok()) == Some(session)
        })
        .filter_map(Pid::from_raw)
        .collect()
}

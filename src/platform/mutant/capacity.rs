//! Mutants of capacity: each lets everybody in who may come in, and makes them wait, or turns them away, where there are
//! many.
//!
//! | row | what is wrong |
//! |---|---|
//! | `terminal/attaches` | attaches wait for one another |
//! | `terminal/ramp` | attaches that come fast are turned away |
//! | `terminal/fan-out` | what is new on a shared terminal is late |

use super::Mutant;

mutants! { CAPACITY of "capacity":
    UPGRADES_ONE_BY_ONE = "upgrades-one-by-one" breaks "terminal/attaches": "While more than 64 terminals are open, the sandbox handles upgrades one after another, 20 ms each.";
    BUSY_SECOND_REFUSES = "busy-second-refuses" breaks "terminal/ramp": "The sandbox answers 503 to upgrades beyond 100 in a second.";
    FAN_OUT_IN_BATCHES = "fan-out-in-batches" breaks "terminal/fan-out": "The terminal sends new output to clients after the first 32 only once a second.";
}

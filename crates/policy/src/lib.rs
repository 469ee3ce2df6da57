//! Decides, never does.
//!
//! Every question that an exchange raises and that needs no socket to answer is answered here: which route,
//! which server, is that server well, may this attempt be repeated, what does this failure mean. Time is a
//! [`Duration`](std::time::Duration) since the process started and randomness is an argument, so each
//! decision can be replayed by a test to the last bit.

// What can go wrong with an exchange, and what follows from it.
pub mod failure;

// Which route takes a request.
pub mod route;

// Which server of its pool gets it.
pub mod balance;

// How much of it, while the server is new.
pub mod slow_start;

// Whether a server is well.
pub mod health;

// Whether it gets traffic, seen together with the others of its pool.
pub mod admission;

// Whether a failed attempt is made again at another server.
pub mod retry;

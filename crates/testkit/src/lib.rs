//! Scripted origins, clients, peers and ports for tests.

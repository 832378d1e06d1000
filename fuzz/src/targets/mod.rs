//! The parsers.

pub mod commands;
pub mod cursor;
pub mod engineio;
pub mod frames;
pub mod handshake;
pub mod manifest;
pub mod proxy;
pub mod schema;
pub mod socketio;
pub mod tokens;

/// One parser.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and its folder in `corpus/`.
    pub name: &'static str,
    /// Feeds it some bytes. Panics where it does not keep a promise.
    pub run: fn(&[u8]),
}

/// All parsers.
pub const TARGETS: &[Target] = &[
    Target {
        name: "frames",
        run: frames::run,
    },
    Target {
        name: "commands",
        run: commands::run,
    },
    Target {
        name: "handshake",
        run: handshake::run,
    },
    Target {
        name: "proxy",
        run: proxy::run,
    },
    Target {
        name: "manifest",
        run: manifest::run,
    },
    Target {
        name: "cursor",
        run: cursor::run,
    },
    Target {
        name: "schema",
        run: schema::run,
    },
    Target {
        name: "tokens",
        run: tokens::run,
    },
    Target {
        name: "engineio",
        run: engineio::run,
    },
    Target {
        name: "socketio",
        run: socketio::run,
    },
];

-- What the service keeps. A product's version counts its changes, so that a page knows which of two is newer.
CREATE TABLE IF NOT EXISTS products (
    id          bigint  NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text    NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    price_cents bigint  NOT NULL CHECK (price_cents >= 0),
    version     integer NOT NULL DEFAULT 1
);

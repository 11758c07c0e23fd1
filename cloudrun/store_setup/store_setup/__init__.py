"""Sets up the live plane's stores: the broker's topics and the tables of Postgres."""

"""What the blog's tests stand on: a scratch PostgreSQL and a connection that can be cut. Not part of the blog."""

"""The grammar of the dl language, for Lark (LALR): `dl.lark`."""

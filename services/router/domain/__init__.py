"""Pure routing: rule documents, text matching, the compiled index, decisions and their explanation."""

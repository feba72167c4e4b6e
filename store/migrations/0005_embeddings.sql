-- Vectors of texts, by the model that made them, so that no text is asked about
-- twice. The model stands among the judges, with the mode embed.
CREATE TABLE embeddings (
  id     INTEGER PRIMARY KEY,
  model  INTEGER NOT NULL REFERENCES judges (id),
  text   BLOB NOT NULL CHECK (length(text) = 16),      -- content hash of the text
  dim    INTEGER NOT NULL CHECK (dim > 0),
  vector BLOB NOT NULL CHECK (length(vector) = 4 * dim)  -- float32, little-endian
);
CREATE UNIQUE INDEX embeddings_once ON embeddings (model, text);

-- What a file was when it was imported, so that one that has not changed since
-- need not be read again, and the size of its longest pair.
ALTER TABLE files ADD COLUMN mark TEXT;          -- size, time and how it was read; NULL where it must be read
ALTER TABLE files ADD COLUMN records INTEGER;    -- of the import that the mark speaks of
ALTER TABLE files ADD COLUMN identical INTEGER;  -- pairs that it left out
ALTER TABLE files ADD COLUMN longest INTEGER;    -- bytes of a prompt and both replies, at most

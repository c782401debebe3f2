"""Routes, one module a page: each asks the Store one question and fills one template."""

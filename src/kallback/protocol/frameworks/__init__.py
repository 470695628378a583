"""How other frameworks say what kallback's headers say: their correlation ids, errors and envelopes."""

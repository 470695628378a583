"""What was seen in a check, against what the page of the wire asks. Pure."""

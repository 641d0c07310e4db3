"""Ways between envelopes and messages: pulpo's own JSON, any JSON, plain text, and what AWS sends."""

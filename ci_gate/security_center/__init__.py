"""Security Center as a source of findings: transport, paging, and the proofs that what was read is everything."""

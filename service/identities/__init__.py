"""What people say of who is who: identities, merges, decisions about pairs; and proposals, which change nothing."""

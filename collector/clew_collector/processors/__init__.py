"""What is done to records between the spool and the stores, as SQL over the batch."""

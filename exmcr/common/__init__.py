"""What every other folder may use and what depends on none of them."""

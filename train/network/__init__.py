"""Networks, and the loop that trains them on pixels and labels."""

"""What is buried: told apart, chosen from, and put back to work."""

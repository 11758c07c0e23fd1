"""What tests of every tier share. Imported by tests only."""

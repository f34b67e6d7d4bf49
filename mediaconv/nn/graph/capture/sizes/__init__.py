"""What is known of sizes while a module is exported."""

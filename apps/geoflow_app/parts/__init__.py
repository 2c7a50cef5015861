"""What the tabs are made of: components, files, scenes, examples."""

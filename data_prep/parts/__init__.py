"""What the scripts above are made of: the parts of creatures, clothes, files of characters."""

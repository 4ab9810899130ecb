"""Ways to train, one a file: the file's name is the method's name, with a dash for each underscore."""

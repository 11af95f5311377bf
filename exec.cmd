@rem What `exec` is to the shells of other systems: package.json uses it so that no shell stays between npm and the program.
@%*

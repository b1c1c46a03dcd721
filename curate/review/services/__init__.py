"""The programs that the FiftyOne App needs: mongod, the App's server, the link to our plugin; their start and end."""

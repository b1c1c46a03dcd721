"""Starts and stops what the FiftyOne App needs: mongod, the App's server, the link to our plugin."""

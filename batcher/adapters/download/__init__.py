"""Downloads: a result's file, from an address that the API named, into a folder of ours."""

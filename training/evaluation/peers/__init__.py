"""What has to be beaten, heard on the same sounds."""

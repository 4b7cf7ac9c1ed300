"""What tickets does when it is asked, when something was routed or delivered, and when time has passed."""

"""What people read: functions over runs that measure nothing."""

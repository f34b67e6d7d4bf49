"""Pages as one HTML file each: one template, one script core, one style. Knows neither media nor layers."""
